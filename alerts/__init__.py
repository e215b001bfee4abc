"""Who is told of stalled prospects, and that they are: from the topic `stalled-prospects` to Slack, e-mail, pagers and webhooks."""
