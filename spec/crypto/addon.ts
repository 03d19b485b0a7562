/** The built addon, for the specs that need it. */
import { type NativeAddon, loadNativeAddon } from '#lib/crypto/native-addon'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'

/** Loads the addon before the specs of a suite, which are pending where it is not built; call inside `describe`. */
export function useAddon(): () => NativeAddon {
  let addon: NativeAddon
  before(async function () {
    addon = await preparedOrPending(this, load)
  })
  return () => addon
}

async function load(): Promise<NativeAddon> {
  await Promise.resolve()
  try {
    return loadNativeAddon()
  } catch (error) {
    throw new UnavailableError(`the native engine: ${error instanceof Error ? error.message : String(error)}`)
  }
}
