"""What the files of stages are called: whoever reads one finds its name here, not in the module that wrote it."""

from __future__ import annotations

#: items → splits
ITEMS, ANSWERS, FORMAT, REMARKS = "items.jsonl", "answers.jsonl", "format.json", "remarks.json"
SPLIT_IDS, HELD, POOL = "splits.json", "held_out.json", "pool.safetensors"
#: rows → a model → its answers
ROWS, LOSSES, PREDICTIONS = "rows.jsonl", "losses.json", "predictions.jsonl"
#: frozen states, of which heads are made
STATES, STATE_IDS = "states.safetensors", "ids.json"
#: evidence → scores → kept rows
READING, SCORES, KEPT = "reading.safetensors", "scores.safetensors", "kept.json"
#: rows → what each would change in a model
GRADIENTS = "gradients.safetensors"
#: scores of gold rows that nothing learned from → what is guaranteed of the rows kept; why nothing is
CALIBRATION, CERTIFICATE, ABSTAINED = "calibration.json", "certificate.json", "abstained.json"
#: answers and gold → right or wrong
GRADES, MARKS = "grades.json", "marks.json"
