"""What others installed: entry points found, looked at in a process of their own, named, built and checked.

No stage, no store and no model engine may enter: a plugin is known here before anything is planned.
"""
