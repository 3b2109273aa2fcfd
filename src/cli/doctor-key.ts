import type { Api } from '../api/api.ts'
import { keyAt } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import { serviceOf, withOpenLedger } from './context.ts'
import type { Globals } from './globals.ts'

/** The key in its file, or with the command that holds it, which is asked for a signature. Errors: KEY_MISSING. */
export async function keyFinding(layout: Layout, globals: Globals): Promise<string> {
  const key = keyAt(layout, layout.key)
  if (key !== undefined) return `${key.publicKey.length * 8}-bit Ed25519, readable only by its owner`
  const sign = async (api: Pick<Api, 'head'>) => `with a command, which signs size ${(await api.head.signed()).size}`
  const served = await serviceOf(globals)
  return served === undefined ? withOpenLedger(globals, 'doctor', sign, 'query') : sign(served)
}
