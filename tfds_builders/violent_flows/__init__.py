"""Violent Flows: crowds, violent and peaceful, from YouTube."""
