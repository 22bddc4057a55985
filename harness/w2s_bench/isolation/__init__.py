"""Code that is not the harness's own leaves nothing behind: processes that end with all they started, state given back.

No plugin, stage or store may enter: whatever runs such code imports from here.
"""
