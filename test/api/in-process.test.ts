import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { everyOperation } from '../../src/api/operations.ts'
import { LocalLedger } from '../../src/ledger.ts'
import { withLedger } from '../support/ledger.ts'
import { addApiCases } from './api-suite.ts'
import { inProcessFactory } from './in-process-factory.ts'

const api = suite('the operations of a ledger in this process')
addApiCases(api, inProcessFactory)

/** Members that are no operations: they belong to a ledger in this process. */
const local = [
  ...['askFor', 'authenticate', 'backUp', 'clockAheadSeconds', 'close', 'constructor', 'counts', 'figures', 'recover'],
  ...['settings', 'snapshot'],
]

/** Members that are not methods of the class. */
const fields = ['actor', 'dir', 'expiring', 'exporting', 'isSnapshot', 'tally']

api('are all that it offers, besides the members that belong to this process', () =>
  withLedger(async (ledger) => {
    const nouns = Object.keys(ledger).filter((name) => !fields.includes(name))
    const methods = nouns.flatMap((noun) => Object.keys(Reflect.get(ledger, noun)).map((verb) => `${noun}.${verb}`))
    equal(
      methods.sort(),
      everyOperation()
        .map(({ name }) => name)
        .sort(),
    )
    equal(Object.getOwnPropertyNames(LocalLedger.prototype).sort(), local)
  }),
)

api.run()
