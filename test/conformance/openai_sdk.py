"""Asks a gateway with the published Python SDK, and prints what came as JSON: what was said whole, and what streams added up to."""

import json
import sys

import openai

base_url, model, call = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, api_key="x", max_retries=0)
messages = [{"role": "user", "content": "Where does the train go?"}]
tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}]
asked = {"model": model, "messages": [{"role": "user", "content": f"SAY:{call}"}], "tools": tools}
seen = {}

whole = client.chat.completions.create(model=model, messages=messages, n=2)
seen["whole"] = [choice.message.content for choice in whole.choices]

texts = ["", ""]
for chunk in client.chat.completions.create(
    model=model, messages=messages, n=2, stream=True, stream_options={"include_usage": True}
):
    for choice in chunk.choices:
        texts[choice.index] += choice.delta.content or ""
    seen["usage"] = chunk.usage and chunk.usage.completion_tokens
seen["streamed"] = texts

seen["called"] = [
    [one.function.name, json.loads(one.function.arguments)]
    for one in client.chat.completions.create(**asked).choices[0].message.tool_calls
]
with client.chat.completions.stream(**asked) as stream:
    final = stream.get_final_completion()
seen["called_in_stream"] = [
    [one.function.name, json.loads(one.function.arguments)] for one in final.choices[0].message.tool_calls
]

answer = client.completions.create(model=model, prompt=["Where to?", "When?"], max_tokens=8)
seen["completions"] = [choice.text for choice in answer.choices]

for name, send in {
    "responses": lambda: client.responses.create(model=model, input="Where to?").output_text,
    "embeddings": lambda: [len(one.embedding) > 0 for one in client.embeddings.create(model=model, input=["a", "b"]).data],
    "unknown": lambda: client.chat.completions.create(model="gpt-9", messages=messages),
}.items():
    try:
        seen[name] = send()
    except openai.APIStatusError as error:
        seen[name] = [type(error).__name__, error.status_code, error.code]

print(json.dumps(seen))
