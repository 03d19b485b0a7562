"""The loop of the peers in Python: one JSON request a line on stdin, one JSON answer a line on stdout."""
import json
import sys


def serve(answer):
    """Answers each request with what `answer` makes of it, or with the text of what it raises."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            reply = answer(request)
        except Exception as error:  # pylint: disable=broad-except
            reply = {"error": "{}: {}".format(type(error).__name__, error)}
        reply["id"] = request["id"]
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
