import type { Command } from 'commander'
import type { LedgerHere } from '../api/api.ts'
import { layoutOf } from '../disk/layout.ts'
import { codes, LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { sha256 } from '../log/sha256.ts'
import { isSignatureOf } from '../log/signer.ts'
import { keysFrom } from '../merkle/keys.ts'
import type { Vkey } from '../merkle/vkey.ts'
import { withLedger } from './context.ts'
import { readText } from './input-file.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'
import { stopped, tcpOf, tcpOptions } from './tcp.ts'
import { local, noun, text } from './verb.ts'

export function witnessCommand(asked?: string): Command {
  return noun('witness', { serve: serveVerb, sync: syncVerb }, asked, [
    'lockstep witness serve /var/lib/witness --name witness.example/w1 --logs logs.txt --listen 127.0.0.1:8053',
    'lockstep witness sync --policy witnesses.txt',
  ])
}

function syncVerb(): Command {
  return local('sync', 'Has the newest checkpoint of this ledger cosigned by the witnesses of a policy.', {
    more: 'The policy has the form of C2SP tlog-policy; each witness needs its URL. Exits with 7 without a quorum.',
    own: {
      policy: { ...text('--policy <file>', 'the witnesses, their URLs, and the quorum'), isRequired: true },
    },
    errors: ['LEDGER_FORKED', 'NOT_FOUND', 'FILE_DENIED', 'FILE_FAILED'],
    run: async ({ command, given: { policy: file = '' }, globals }) => {
      const { policyIn, syncWitnesses } = await import('../witness/sync.ts')
      const policy = await policyIn(readText(file, limits.homeFileBytes), file)
      const bar = await progressBar(globals, 'witnesses')
      const sync = (ledger: LedgerHere) => {
        const onAnswer = (done: number, total: number) => bar.show(done, total)
        return syncWitnesses(ledger, { layout: layoutOf(ledger.dir), onAnswer, policy })
      }
      return await withLedger(globals, command, sync, 'query').finally(() => bar.stop())
    },
    exit: ({ is_quorum }) => (is_quorum ? 0 : codes.LEDGER_UNAVAILABLE.exit),
    lines: ({ is_quorum, quorum_size, size, witnesses }) => [
      ...witnesses.map(({ name, reason, size: theirs, status }) => {
        return [
          name,
          status,
          ...(theirs === undefined ? [] : [theirs]),
          ...(reason === undefined ? [] : [reason]),
        ].join('  ')
      }),
      is_quorum
        ? `a quorum cosigned the checkpoint of ${size} entries`
        : `no quorum cosigned the checkpoint of ${size} entries; ${lastQuorum(quorum_size)}`,
    ],
    examples: ['lockstep witness sync --policy witnesses.txt', 'lockstep witness sync --policy witnesses.txt --json'],
  })
}

const lastQuorum = (size: number | null) =>
  size === null ? 'there was none yet' : `the last one cosigned ${size} entries`

function serveVerb(): Command {
  return local('serve', 'Cosigns the checkpoints of other ledgers, until SIGTERM or SIGINT.', {
    more:
      'The folder has the key of the witness and the newest checkpoint of each log. A witness that forgets them can be ' +
      'shown two histories of one log, so this folder must never be lost or set back. Its key line is in key.pub.',
    own: {
      dir: { ...text('<dir>', 'the folder of the witness; it is made if it is missing'), isRequired: true },
      listen: { ...text('--listen <host:port>', 'the address of the witness'), isRequired: true },
      logs: { ...text('--logs <file>', 'the key lines of the logs to watch, one a line'), isRequired: true },
      name: text('--name <name>', 'the name of a new witness, such as witness.example/w1'),
      ...tcpOptions,
    },
    errors: ['INVALID_INPUT', 'LEDGER_CORRUPT', 'NOT_FOUND', 'FILE_DENIED'],
    run: async ({ given: { dir = '', listen = '', logs = '', name, ...tcp } }) => {
      const address = tcpOf(listen, tcp)
      const [{ serveWitness }, { Witness }, keys] = await Promise.all([
        import('../service/witness-service.ts'),
        import('../witness/witness.ts'),
        logsIn(logs),
      ])
      const now = () => Math.floor(Date.now() / 1000)
      const witness = await Witness.open(dir, { logs: keys, name, now })
      const stop = stopped()
      const service = await serveWitness(witness, { listen: address })
      say(`${witness.vkey} witnesses ${keys.length} keys at ${service.url}`)
      await stop.asked
      await service.close()
    },
    examples: [
      'lockstep witness serve /var/lib/witness --name witness.example/w1 --logs logs.txt --listen 127.0.0.1:8053',
      'lockstep witness serve /var/lib/witness --logs logs.txt --listen 0.0.0.0:8053 --tls-cert c.pem --tls-key k.pem',
    ],
  })
}

/**
 * The keys in a file of key lines. The statements about later keys that `key.pub` has below a line are followed. Blank
 * lines and lines that begin with # are ignored. Errors: INVALID_INPUT.
 */
async function logsIn(file: string): Promise<Vkey[]> {
  const lines = readText(file, limits.homeFileBytes).split('\n')
  const keys: Vkey[] = []
  for (const [index, line] of lines.entries()) {
    const words = line.trim()
    if (words === '' || words.startsWith('#')) continue
    if (words.startsWith('"')) continue
    const next = lines.findIndex((other, at) => at > index && !other.startsWith('"'))
    const text = lines.slice(index, next === -1 ? undefined : next).join('\n')
    const found = await keysFrom(text, { hash: sha256, verify: isSignatureOf })
    if (!found.ok) throw new LockstepError('INVALID_INPUT', `${file}, line ${index + 1}: ${found.reason}`)
    const inForce = found.value.filter(({ to }) => to === undefined)
    if (keys.length + inForce.length > limits.witnessLogsMax)
      throw new LockstepError('LIMIT_EXCEEDED', `${file} has more than ${limits.witnessLogsMax} keys`)
    keys.push(...inForce.map(({ key }) => key))
  }
  return keys
}
