"""How well recordings are matched: what is asked, what else could answer, and what is measured."""
