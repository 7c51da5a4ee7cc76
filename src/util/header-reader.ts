/** Header fields by name, in lower case. `Headers` fits it by shape. */
export interface HeaderReader {
  /** The value; of a field that occurs more than once, the values joined with `, `. */
  get(name: string): string | null;
  has(name: string): boolean;
}

/** The same of a message that was read here: a field that is not there is undefined. A Map fits it by shape. */
export interface FieldReader {
  get(name: string): string | undefined;
  has(name: string): boolean;
}
