/** Paths of the methods of engines, by service. Their messages are in `generated/`. */

/** SGLang's scheduler. */
export const SGLANG = {
  generate: "/sglang.grpc.scheduler.SglangScheduler/Generate",
  embed: "/sglang.grpc.scheduler.SglangScheduler/Embed",
  healthCheck: "/sglang.grpc.scheduler.SglangScheduler/HealthCheck",
  abort: "/sglang.grpc.scheduler.SglangScheduler/Abort",
  getModelInfo: "/sglang.grpc.scheduler.SglangScheduler/GetModelInfo",
  getServerInfo: "/sglang.grpc.scheduler.SglangScheduler/GetServerInfo",
  getLoads: "/sglang.grpc.scheduler.SglangScheduler/GetLoads",
  flushCache: "/sglang.grpc.scheduler.SglangScheduler/FlushCache",
  startProfile: "/sglang.grpc.scheduler.SglangScheduler/StartProfile",
  stopProfile: "/sglang.grpc.scheduler.SglangScheduler/StopProfile",
  getTokenizer: "/sglang.grpc.scheduler.SglangScheduler/GetTokenizer",
  subscribeKvEvents: "/sglang.grpc.scheduler.SglangScheduler/SubscribeKvEvents",
  loadLoRAAdapter: "/sglang.grpc.scheduler.SglangScheduler/LoadLoRAAdapter",
  unloadLoRAAdapter: "/sglang.grpc.scheduler.SglangScheduler/UnloadLoRAAdapter",
  listLoadedLoRAAdapters: "/sglang.grpc.scheduler.SglangScheduler/ListLoadedLoRAAdapters",
} as const;

/** vLLM's engine. */
export const VLLM = {
  generate: "/vllm.grpc.engine.VllmEngine/Generate",
  embed: "/vllm.grpc.engine.VllmEngine/Embed",
  healthCheck: "/vllm.grpc.engine.VllmEngine/HealthCheck",
  flushCache: "/vllm.grpc.engine.VllmEngine/FlushCache",
  startProfile: "/vllm.grpc.engine.VllmEngine/StartProfile",
  stopProfile: "/vllm.grpc.engine.VllmEngine/StopProfile",
  abort: "/vllm.grpc.engine.VllmEngine/Abort",
  getModelInfo: "/vllm.grpc.engine.VllmEngine/GetModelInfo",
  getServerInfo: "/vllm.grpc.engine.VllmEngine/GetServerInfo",
  getLoads: "/vllm.grpc.engine.VllmEngine/GetLoads",
  getTokenizer: "/vllm.grpc.engine.VllmEngine/GetTokenizer",
  subscribeKvEvents: "/vllm.grpc.engine.VllmEngine/SubscribeKvEvents",
} as const;

/** TensorRT-LLM. */
export const TRTLLM = {
  generate: "/trtllm.TrtllmService/Generate",
  embed: "/trtllm.TrtllmService/Embed",
  healthCheck: "/trtllm.TrtllmService/HealthCheck",
  abort: "/trtllm.TrtllmService/Abort",
  getModelInfo: "/trtllm.TrtllmService/GetModelInfo",
  getServerInfo: "/trtllm.TrtllmService/GetServerInfo",
  getTokenizer: "/trtllm.TrtllmService/GetTokenizer",
  subscribeKvEvents: "/trtllm.TrtllmService/SubscribeKvEvents",
} as const;

/** The health service that servers share. */
export const HEALTH = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
} as const;
