"""The stories of the Teach page: a question each, told in five steps on numbers that the engine has just computed."""

from dashboards.stories.story import STORIES, Scene, Step, Story

__all__ = ["STORIES", "Scene", "Step", "Story"]
