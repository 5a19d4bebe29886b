"""Credit in this edge's hands: grants, and the holds of calls on them. Memory only; the journal and billing hold the truth."""
