"""Resumable work over many structures."""

from ldml.campaign.generate import GenerationPlan, generate_dataset

__all__ = ["GenerationPlan", "generate_dataset"]
