import type { Command } from 'commander'
import type { ShownPin } from '../api/shapes/workspaces.ts'
import { verb } from './verb.ts'

/** Keeps the tree of a promoted turn. */
export function pinVerb(): Command {
  return verb('pin', 'workspaces.pin', {
    arguments: ['name'],
    flags: {
      run_id: { about: 'the run whose workspace to pin', name: 'run' },
      turn_id: { about: 'the promoted turn to keep (default: the last of the run)', name: 'at' },
    },
    more: 'Later promotions do not change its files.',
    call: async (api, input) => ({ ...(await api.workspaces.pin(input)), ...(await api.workspaces.files()) }),
    lines: (pin) => [...pinLines(pin), `files ${pin.files}`],
    examples: [
      'lockstep stem pin release-1 --run run_draft1',
      'lockstep stem pin draft --run run_draft1 --at turn-0002',
    ],
  })
}

function pinLines({ folder, name, run_id, state_digest, turn_id, workspace }: ShownPin): string[] {
  return [`${name} keeps ${workspace} after ${turn_id} of ${run_id}: ${folder}`, `state ${state_digest}`]
}

/** Gives up a pin. */
export function unpinVerb(): Command {
  return verb('unpin', 'workspaces.unpin', {
    arguments: ['name'],
    flags: { run_id: { about: 'a run of the workspace', name: 'run' } },
    call: async (api, input) => ({ ...(await api.workspaces.unpin(input)), ...(await api.workspaces.files()) }),
    lines: ({ files, name, seq, workspace }) => [
      `${name} of ${workspace} is given up (entry ${seq})`,
      `files ${files}`,
    ],
    examples: ['lockstep stem unpin release-1 --run run_draft1', 'lockstep stem unpin draft --run run_draft1 --json'],
  })
}

/** Lists the pins of a workspace. */
export function pinsVerb(): Command {
  return verb('pins', 'workspaces.pins', {
    flags: {
      run_id: { about: 'the workspace of this run, or of its workflow if it has one', name: 'run' },
      workflow_id: { about: 'the workspace of this workflow' },
    },
    items: ({ pins }) => pins,
    lines: ({ pins }) => (pins.length === 0 ? ['no pins'] : pins.flatMap(pinLines)),
    examples: ['lockstep stem pins --run run_draft1', 'lockstep stem pins --workflow site --json'],
  })
}
