import { Command } from 'commander'
import { examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import { print } from './output.ts'

export function headCommand(): Command {
  const command = new Command('head')
    .description('Print the tree head: origin, size and root.')
    .option('--signed', 'print a signed checkpoint (C2SP signed note), to keep in another place')
    .option('--size <n>', 'the tree head at this earlier size (default: the current size)', wholeNumber)
    .action(async (options: { signed?: boolean; size?: number }, self: Command) => {
      const globals = globalsOf(self)
      await withLedger(globals, 'head', async (ledger) => {
        const { origin } = ledger.head()
        const { checkpoint, root, size, vkey } = await ledger.signedHead(options.size)
        const document = { origin, size, root, ...(options.signed ? { checkpoint, vkey } : {}) }
        print(globals, document, () =>
          options.signed ? checkpoint.trimEnd() : [`origin ${origin}`, `size ${size}`, `root ${root}`],
        )
      })
    })
  return examples(command, 'lockstep head', 'lockstep head --signed > checkpoint-$(date +%F).txt')
}

export function proveCommand(): Command {
  const command = new Command('prove')
    .description('Prove that the ledger contains an entry. The lockstep/verify module checks the proof offline.')
    .argument('<seq>', 'the seq of the entry', wholeNumber)
    .option('--size <n>', 'prove it in the tree of this size (default: the current size)', wholeNumber)
    .action(async (seq: number, options: { size?: number }, self: Command) => {
      const globals = globalsOf(self)
      await withLedger(globals, 'prove', async (ledger) => {
        const document = await ledger.prove(seq, options.size)
        print(globals, document, () => [
          `entry ${document.seq} (${document.entry.type}) in the tree of ${document.size}`,
          `leaf hash ${document.leaf_hash}`,
          ...document.proof.map((hash) => `  ${hash}`),
          `root ${document.root}`,
          'To get the proof as a document that others can check, add --json.',
        ])
      })
    })
  return examples(command, 'lockstep prove 42', 'lockstep prove 42 --json > proof-42.json')
}

export function consistencyCommand(): Command {
  const command = new Command('consistency')
    .description('Prove that entries were only appended between two sizes of the ledger.')
    .argument('<from>', 'the earlier size', wholeNumber)
    .argument('[to]', 'the later size (default: the current size)', wholeNumber)
    .action(async (from: number, to: number | undefined, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      await withLedger(globals, 'consistency', async (ledger) => {
        const document = await ledger.consistency(from, to)
        print(globals, document, () => [
          `size ${document.from} root ${document.from_root}`,
          ...document.proof.map((hash) => `  ${hash}`),
          `size ${document.to} root ${document.to_root}`,
        ])
      })
    })
  return examples(command, 'lockstep consistency 100', 'lockstep consistency 100 250 --json')
}
