/** Word of the first line of a recording of traffic, by which a reader knows the file. */
export const RECORDING_FORMAT = "pointsman-recording";
