import type { Command } from 'commander'
import { toggle, verb } from './verb.ts'

export function headVerb(): Command {
  return verb('head', 'head.signed', {
    about: 'Shows the tree head: origin, size and root.',
    flags: { size: { about: 'the tree head at this earlier size (default: the current size)' } },
    own: { signed: toggle('--signed', 'print a signed checkpoint (C2SP signed note), to keep in another place') },
    call: async (api, input, { given }) => {
      const { origin } = await api.head.get()
      const { checkpoint, root, size, vkey } = await api.head.signed(input)
      return { origin, size, root, ...(given.signed ? { checkpoint, vkey } : {}) }
    },
    lines: ({ checkpoint, origin, root, size }) =>
      checkpoint?.trimEnd().split('\n') ?? [`origin ${origin}`, `size ${size}`, `root ${root}`],
    examples: ['lockstep head', 'lockstep head --signed > checkpoint-$(date +%F).txt'],
  })
}

export function proveVerb(): Command {
  return verb('prove', 'log.prove', {
    arguments: ['seq'],
    flags: { size: { about: 'prove it in the tree of this size (default: the current size)' } },
    more: 'The lockstep/verify module checks the proof offline.',
    lines: ({ entry, leaf_hash, proof, root, seq, size }) => [
      `entry ${seq} (${entry.type}) in the tree of ${size}`,
      `leaf hash ${leaf_hash}`,
      ...proof.map((hash) => `  ${hash}`),
      `root ${root}`,
      'To get the proof as a document that others can check, add --json.',
    ],
    examples: ['lockstep prove 42', 'lockstep prove 42 --json > proof-42.json'],
  })
}

export function consistencyVerb(): Command {
  return verb('consistency', 'log.consistency', {
    arguments: ['from', 'to'],
    lines: ({ from, from_root, proof, to, to_root }) => [
      `size ${from} root ${from_root}`,
      ...proof.map((hash) => `  ${hash}`),
      `size ${to} root ${to_root}`,
    ],
    examples: ['lockstep consistency 100', 'lockstep consistency 100 250 --json'],
  })
}
