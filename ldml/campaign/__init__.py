"""Resumable work over many structures."""

from ldml.campaign import stages
from ldml.campaign.campaign import Plan, run_campaign
from ldml.campaign.generate import GenerationPlan
from ldml.campaign.runner import Runner, TimeIsUp
from ldml.campaign.status import campaign_status
from ldml.campaign.store import Store, StoreError
from ldml.campaign.tasks import Task, stage

__all__ = [
    "GenerationPlan",
    "Plan",
    "Runner",
    "Store",
    "StoreError",
    "Task",
    "TimeIsUp",
    "campaign_status",
    "run_campaign",
    "stage",
    "stages",
]
