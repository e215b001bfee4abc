"""What the console asks, by name: the same question makes a page's picture, its SQL and its CSV."""

from __future__ import annotations

from console.questions.base import Asked, Question
from console.questions.campaigns import ATTRIBUTION_QUESTIONS, CAMPAIGN_QUESTIONS
from console.questions.customers import CUSTOMER_QUESTIONS
from console.questions.flow import FLOW_QUESTIONS
from console.questions.funnel import FUNNEL_QUESTIONS
from console.questions.health import HEALTH_QUESTIONS
from console.questions.prospects import PROSPECT_QUESTIONS
from console.questions.targets import TARGET_QUESTIONS
from console.questions.teams import TEAM_QUESTIONS
from console.questions.time import TIME_QUESTIONS

QUESTIONS: dict[str, Question] = {
    question.name: question
    for question in (
        *FUNNEL_QUESTIONS,
        *FLOW_QUESTIONS,
        *TIME_QUESTIONS,
        *TARGET_QUESTIONS,
        *CUSTOMER_QUESTIONS,
        *CAMPAIGN_QUESTIONS,
        *ATTRIBUTION_QUESTIONS,
        *TEAM_QUESTIONS,
        *PROSPECT_QUESTIONS,
        *HEALTH_QUESTIONS,
    )
}

__all__ = ["QUESTIONS", "Asked", "Question"]
