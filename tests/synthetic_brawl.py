"""A second drawn dataset, whose classes have other names and another order than those of `synthetic_fight`."""

import dataclasses
from typing import ClassVar

from tfds_builders.synthetic_fight.synthetic_fight import SyntheticConfig, SyntheticFight


class SyntheticBrawl(SyntheticFight):
    """Scenes of `synthetic_fight`, called brawl and calm."""

    BUILDER_CONFIGS: ClassVar = [
        *SyntheticFight.BUILDER_CONFIGS[:-1],
        SyntheticConfig(name="tiny", height=64, width=64, num_scenes=(4, 4, 4), num_frames=(8, 12)),
    ]
    CLASSES = ("brawl", "calm")

    def find_clips(self, dl_manager):
        names = {"fight": "brawl", "no_fight": "calm"}
        return [dataclasses.replace(video, label=names[video.label]) for video in super().find_clips(dl_manager)]
