"""LangChain against `amalgam serve`, with a model whose template takes tools. Called by bench/serve-clients.mjs; needs langchain-openai.

    python serve_langchain.py --url http://127.0.0.1:PORT/v1 --model NAME

The key is read from OPENAI_API_KEY. Fails at the first thing that is not as expected.
"""

import argparse

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

given = argparse.ArgumentParser()
for name in ("url", "model"):
    given.add_argument(f"--{name}", required=True)
given = given.parse_args()
model = ChatOpenAI(base_url=given.url, model=given.model, temperature=0, max_tokens=60, max_retries=0)


def expect(what, condition):
    print(("ok    " if condition else "WRONG ") + what, flush=True)
    if not condition:
        raise SystemExit(1)


class City(BaseModel):
    name: str
    country: str


@tool
def get_weather(city: str) -> str:
    """Get the current weather of a city"""
    return "21 degrees and clear"


whole = model.invoke("Say hello.").content
expect(f"LangChain's chat: {whole!r}", len(whole) > 0)
expect("its stream has the same text", "".join(chunk.content for chunk in model.stream("Say hello.")) == whole)
for method in ("json_schema", "function_calling"):
    city = model.with_structured_output(City, method=method).invoke("Name a city and its country: Oslo, Norway.")
    expect(f"structured output by {method}: {city}", isinstance(city, City))
forced = model.bind_tools([get_weather], tool_choice="get_weather").invoke("What is the weather in Rome?").tool_calls
expect(f"a tool that it must call: {forced}", [call["name"] for call in forced] == ["get_weather"])
question = HumanMessage("What is the weather in Paris right now?")
asking = model.bind_tools([get_weather])
called = asking.invoke([question])
expect(f"a tool that it may call: {called.tool_calls}", [call["name"] for call in called.tool_calls] == ["get_weather"])
streamed = None
for chunk in asking.stream([question]):
    streamed = chunk if streamed is None else streamed + chunk
expect("the stream has the same call", [call["args"] for call in streamed.tool_calls] == [call["args"] for call in called.tool_calls])
(call,) = called.tool_calls
# With the tools before it, so small a model calls them again.
telling = model.bind_tools([get_weather], tool_choice="none")
answer = telling.invoke([question, called, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]).content
expect(f"what it makes of the tool's answer: {answer!r}", "21" in answer)
embeddings = OpenAIEmbeddings(base_url=given.url, model=given.model, check_embedding_ctx_length=False, max_retries=0)
vectors = embeddings.embed_documents(["one", "two"])
expect("embeddings", len(vectors) == 2 and len(vectors[0]) == len(vectors[1]) > 0)
