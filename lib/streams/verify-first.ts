/** Decryption that releases nothing before everything verified, in constant memory: two passes over kept ciphertext. */
import type { CryptographicMaterialsManager } from '../materials/cryptographic-materials-manager.ts'
import type { DecryptionMaterials } from '../materials/materials.ts'
import { type ByteQueue, pulledQueue } from './byte-queue.ts'
import { decryptMessage } from './decrypt-message.ts'
import type { DecryptSettings } from './options.ts'
import { OutputMemory } from './output-memory.ts'
import type { Session } from './protocol-transform.ts'
import { Spool } from './spool.ts'
import { Turns } from './turns.ts'

/** Like `decryptMessage`, but verifies the whole message before it yields any of it. The keys are asked for once. */
export async function* decryptVerifiedMessage(
  input: ByteQueue,
  settings: DecryptSettings,
  session: Session,
): AsyncGenerator<Buffer, void> {
  const spool = new Spool(settings.spoolFolder)
  try {
    const keeper = new MaterialsKeeper(settings.materialsManager)
    const kept = pulledQueue(async () => {
      if (!(await input.atLeast(1))) return undefined
      const bytes = Buffer.from(input.take(input.length))
      await spool.write(bytes)
      return bytes
    })
    const turns = new Turns()
    const memory = new OutputMemory()
    const quiet: Session = {
      ...session,
      memory,
      stats: { bytesIn: 0, bytesOut: 0, frames: 0 },
      onHeader: () => undefined,
    }
    for await (const verified of decryptMessage(kept, { ...settings, materialsManager: keeper }, quiet)) {
      memory.give(verified)
      if (turns.due(verified.length)) await turns.turn()
    }
    yield* decryptMessage(
      pulledQueue(() => spool.read()),
      { ...settings, materialsManager: keeper },
      session,
    )
  } finally {
    await spool.close()
  }
}

/** Asks another manager for decryption materials once, unless those were disproved, and hands them out from then on. */
class MaterialsKeeper implements CryptographicMaterialsManager {
  readonly #manager: CryptographicMaterialsManager
  #kept: DecryptionMaterials | undefined

  constructor(manager: CryptographicMaterialsManager) {
    this.#manager = manager
  }

  getEncryptionMaterials: CryptographicMaterialsManager['getEncryptionMaterials'] = () =>
    Promise.reject(new TypeError('this manager only decrypts'))

  decryptMaterials: CryptographicMaterialsManager['decryptMaterials'] = async (request, options) => {
    if (this.#kept === undefined || request.disproved.length > 0) {
      this.#kept = await this.#manager.decryptMaterials(request, options)
    }
    return this.#kept
  }
}
