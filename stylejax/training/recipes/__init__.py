"""Recipes: trainings in several parts, by name; `stylejax train recipe` runs them.

A recipe consists of a module here and a row in RECIPES.
"""

from stylejax.training.recipes import base, large
from stylejax.training.recipes.recipe import Part, Recipe, configs

__all__ = ["RECIPES", "Part", "Recipe", "configs"]

RECIPES = {"base": base.RECIPE, "large": large.RECIPE}
"""The recipes, by the name of the preset that they train."""
