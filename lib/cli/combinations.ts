/** Options that say nothing without another one, or against it, are mistakes: what was meant would not be done. */
import { UsageError } from './failure.ts'
import type { Mode } from './location.ts'
import type { TransferFlags } from './options.ts'

/** Checks what the command line itself says, before a profile adds to it. @throws UsageError */
export function checkCombinations(flags: TransferFlags, mode: Mode): void {
  const { output, recursive = false, suffix, metadataOutput, overwriteMetadata = false, profile, config } = flags
  checkOverwrite(flags, mode)
  if (suffix !== undefined && output !== undefined && !recursive) {
    throw new UsageError('--suffix is for names that are not given: leave out -o, or give -r')
  }
  if (overwriteMetadata && (metadataOutput === undefined || metadataOutput === '-')) {
    throw new UsageError('--overwrite-metadata goes with --metadata-output FILE')
  }
  if (profile !== undefined && config === false) throw new UsageError('--no-config has no profiles')
}

function checkOverwrite({ overwrite, interactive = false, output }: TransferFlags, mode: Mode): void {
  if (overwrite !== false && !interactive) return
  const name = overwrite === false ? '--no-overwrite' : '--interactive'
  if (overwrite === false && interactive) throw new UsageError('--interactive asks, --no-overwrite does not: give one')
  if (mode === 'reencrypt' && output === undefined) {
    throw new UsageError(`${name}: without -o, reencrypt replaces INPUT; give -o OUTPUT`)
  }
}
