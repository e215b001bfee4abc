"""A web application to read on: funnels, where visits go, who waits, and why somebody is where they are."""
