/** Names of branch keys and of their stores. */

/** As long as a partition key of Amazon DynamoDB may be. */
const MAX_ID_BYTES = 2048

/** @throws TypeError unless it is text, not empty, and without NUL characters, which separate such names where they are hashed. */
export function checkText(option: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '' || value.includes('\0') || !value.isWellFormed()) {
    throw new TypeError(`"${option}" expected a non-empty string without NUL characters`)
  }
}

/** @throws TypeError unless it can be the id of a branch key. */
export function checkBranchKeyId(option: string, value: unknown): asserts value is string {
  checkText(option, value)
  if (Buffer.byteLength(value) > MAX_ID_BYTES) throw new TypeError(`"${option}" is longer than ${MAX_ID_BYTES} bytes`)
}
