"""What `make up` prints is true of the running product."""

import re

import httpx

from tests.support.product import Product
from tt_sandbox.stack.guide import next_steps


def test_the_page_that_the_guide_names_describes_the_console(product: Product) -> None:
    # given
    text = next_steps(product.stack, "sk-shown", detached=True)

    # when
    (page,) = re.findall(r"Console API, described:\s+(\S+)", text)
    answer = httpx.get(page, trust_env=False, timeout=60)

    # then
    assert answer.status_code == 200
    assert answer.json()["paths"]
