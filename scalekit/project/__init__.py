"""Project: the folder, the gate board, and one file per stage with its verbs."""

from scalekit.project.folder import Folder, ProjectError
from scalekit.project.gatebook import Board
from scalekit.project.profiles import PROFILES, Profile
from scalekit.project.project import Project

__all__ = ["PROFILES", "Board", "Folder", "Profile", "Project", "ProjectError"]
