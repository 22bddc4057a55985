"""Why a finished run came out as it did: figures of the mechanisms that are claimed for trust functions, and their page."""
