import type { Command } from 'commander'
import type { ChangedKey, KeyList } from '../api/shapes/keys.ts'
import { limits } from '../kernel/limits.ts'
import { readText } from './input-file.ts'
import { noun, verb } from './verb.ts'

export function keyCommand(asked?: string): Command {
  const verbs = { adopt: adoptVerb, list: listVerb, retire: retireVerb, rotate: rotateVerb }
  return noun('key', verbs, asked, ['lockstep key list', 'lockstep --operator key rotate'])
}

const who = 'Only the release authority or an operator may do this.'

function adoptVerb(): Command {
  return verb('adopt', 'keys.adopt', {
    flags: { checkpoint: { about: 'the file with a checkpoint that a lost key signed and that was kept elsewhere' } },
    input: ({ checkpoint, ...input }) => ({
      ...input,
      checkpoint: readText(String(checkpoint), limits.keptCheckpointChars),
    }),
    more: `For a ledger whose private key is lost. ${who} Give the new key to every verifier yourself.`,
    lines: ({ seq, size, vkey }) => [`entry ${seq}: from size ${size + 1} on, the ledger signs with this key`, vkey],
    examples: [
      'lockstep --operator key adopt --checkpoint /mnt/kept/head.txt --reason "the disk with the key failed"',
      'lockstep --operator key adopt --checkpoint /mnt/kept/head.txt --reason "drill" --json',
    ],
  })
}

function listVerb(): Command {
  return verb('list', 'keys.list', {
    lines: listedLines,
    examples: ['lockstep key list', 'lockstep key list --json | jq -r .vkey'],
  })
}

function listedLines({ keys }: KeyList): string[] {
  return keys.flatMap(({ from, held, to, vkey }) => [
    vkey,
    `  signs sizes ${from} to ${to ?? 'now'}; private key: ${heldTexts[held]}`,
  ])
}

const heldTexts = { file: 'in a file of the ledger', missing: 'not here', signer: 'with the configured command' }

function retireVerb(): Command {
  return verb('retire', 'keys.retire', {
    arguments: ['vkey'],
    more: `Its private key is deleted from the folder of the ledger. ${who}`,
    lines: changedLines('the last size that this key signs'),
    examples: ['lockstep --operator key retire', 'lockstep --operator key retire --json'],
  })
}

function rotateVerb(): Command {
  return verb('rotate', 'keys.rotate', {
    more: `Both keys sign until "lockstep key retire". ${who}`,
    lines: changedLines('the last size that the older key signs alone'),
    examples: ['lockstep --operator key rotate', 'lockstep --operator key rotate --json | jq -r .vkey'],
  })
}

const changedLines =
  (about: string) =>
  ({ seq, size, vkey }: ChangedKey): string[] => [`entry ${seq}; ${about} is ${size}`, vkey]
