"""How the shipped sample is made: tables of the PyPI package `leadforge` -> events as a web site, a mailer and a call log would send them."""
