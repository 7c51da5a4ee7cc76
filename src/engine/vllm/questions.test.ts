import { expect, test } from "bun:test";
import { engineLoadOf } from "../engine-load.ts";
import { loadsIn } from "./questions.ts";

test("each engine behind the address is an entry", () => {
  const page = [
    "# HELP vllm:num_requests_running Number of requests in model execution batches.",
    "# TYPE vllm:num_requests_running gauge",
    'vllm:num_requests_running{engine="0",model_name="m"} 3.0',
    'vllm:num_requests_running{engine="1",model_name="m"} 1.0',
    'vllm:num_requests_waiting{engine="0",model_name="m"} 2.0',
    'vllm:num_requests_waiting{engine="1",model_name="m"} 0.0',
    'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.9',
    'vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.1',
    "",
  ].join("\n");
  expect(loadsIn(page)).toEqual({
    loads: [
      { dp_rank: 0, num_running_reqs: 3, num_waiting_reqs: 2, token_usage: 0.9 },
      { dp_rank: 1, num_running_reqs: 1, num_waiting_reqs: 0, token_usage: 0.1 },
    ],
  });
  expect(engineLoadOf(loadsIn(page) ?? {}, undefined)).toEqual({ running: 4, waiting: 2, kvUsage: 0.5 });
});

test("an older server has the share of its cache under another name, and no label for the engine", () => {
  const page = 'vllm:num_requests_running{model_name="m"} 1\nvllm:gpu_cache_usage_perc{model_name="m"} 0.25\n';
  expect(loadsIn(page)).toEqual({ loads: [{ dp_rank: 0, num_running_reqs: 1, token_usage: 0.25 }] });
});

test("a page without these metrics says nothing about a load", () => {
  expect(loadsIn("")).toBeUndefined();
  expect(loadsIn("process_start_time_seconds 1.7e9\nvllm:num_requests_running_total 3\n")).toBeUndefined();
});
