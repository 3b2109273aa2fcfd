import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'

export const newest = async (ledger: LocalLedger): Promise<Entry> =>
  ledger.log.entry({ seq: (await ledger.head.get()).size - 1 })
