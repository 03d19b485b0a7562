/** How much the protocols hand to the frame cipher in one call. */

/** Frames are sealed and opened in batches of about this many bytes (or of one frame, where it is longer). */
export const BATCH_BYTES: number = 256 * 1024
