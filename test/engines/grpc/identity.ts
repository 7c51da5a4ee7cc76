/** What an engine says of itself and its model. */
export interface EngineIdentity {
  readonly model: string;
  readonly modelPath: string;
  readonly modelType: string;
  readonly architecture: string;
  /** Directory whose tokenizer GetTokenizer sends. */
  readonly tokenizerPath: string | undefined;
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly dataParallelSize: number;
  readonly defaultSamplingParamsJson: string;
}
