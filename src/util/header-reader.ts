/** Header fields by name, in lower case. `Headers` fits it by shape. */
export interface HeaderReader {
  /** The value; of a field that occurs more than once, the values joined with `, `. */
  get(name: string): string | null;
  has(name: string): boolean;
}
