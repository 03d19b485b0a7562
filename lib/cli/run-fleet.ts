/** Many files: not yet. */
import { UsageError } from './failure.ts'
import type { Job } from './run-transfer.ts'

/** @throws UsageError */
export async function runFleet({ mode }: Job, input: string): Promise<void> {
  return Promise.reject(new UsageError(`${mode} -r ${input}: this version works on one file at a time`))
}
