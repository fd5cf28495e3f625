"""TFDS builders of video datasets; `import tfds_builders` registers them for `tfds.load` and `tfds.data_source`.

Reading a prepared dataset needs neither JAX nor, from ArrayRecord, TensorFlow. Preparing one needs TensorFlow and
`jaxvid.video`.
"""

from tfds_builders.hockey_fight.hockey_fight import HockeyFight
from tfds_builders.movies_fight.movies_fight import MoviesFight
from tfds_builders.rwf2000.rwf2000 import Rwf2000
from tfds_builders.shv.shv import Shv
from tfds_builders.surveillance_fight.surveillance_fight import SurveillanceFight
from tfds_builders.synthetic_fight.synthetic_fight import SyntheticFight
from tfds_builders.synthetic_genre.synthetic_genre import SyntheticGenre
from tfds_builders.ucf50.ucf50 import Ucf50
from tfds_builders.ucf101_by_group.ucf101_by_group import Ucf101ByGroup
from tfds_builders.video_folder.video_folder import VideoFolder
from tfds_builders.violent_flows.violent_flows import ViolentFlows

__all__ = [
    "HockeyFight",
    "MoviesFight",
    "Rwf2000",
    "Shv",
    "SurveillanceFight",
    "SyntheticFight",
    "SyntheticGenre",
    "Ucf50",
    "Ucf101ByGroup",
    "VideoFolder",
    "ViolentFlows",
]
