"""What `make up` prints when all is ready. The two calls work exactly as printed."""

from tt_sandbox.stack.deposit_settings import SANDBOX_NETWORK
from tt_sandbox.stack.stack import Stack

MODEL = "gpt-4o-mini"


def next_steps(stack: Stack, key: str, *, detached: bool) -> str:
    """The text, with the demo key in it: it is meant to be copied."""
    edge = stack.edge_urls[0]
    stop = "make down" if detached else "Ctrl-C, or make down in another terminal"
    return f"""
TokenTally is up. The demo account has credit; this is its key: {key}

Call a model with curl:

  curl {edge}/v1/chat/completions \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

Or from Python (.venv/bin/python has the openai package):

  from openai import OpenAI
  client = OpenAI(base_url="{edge}/v1", api_key="{key}")
  answer = client.chat.completions.create(model="{MODEL}", messages=[{{"role": "user", "content": "Hello"}}])
  print(answer.choices[0].message.content)

{_deposits(stack)}

Console API, described:   {stack.console_url}/openapi.json
What runs and its logs:   make status, make logs ({stack.folder.logs})
To stop:                  {stop} (data stays; make reset deletes it)
"""


def _deposits(stack: Stack) -> str:
    network = stack.service("deposits").env["DEPOSITS_NETWORK"]
    if network == SANDBOX_NETWORK:
        return "Send it test USDT:         make deposit AMOUNT=25"
    return f"USDT deposits:             watched on {network}"
