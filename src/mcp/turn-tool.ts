import * as z from 'zod'
import * as shapes from '../api/shapes/turns.ts'
import { LockstepError } from '../errors.ts'
import { mcpSettingsIn } from '../kernel/config.ts'
import { appendsOnce, tool } from './tool.ts'

const { apply, promoted } = shapes
const objects = z.array(z.looseObject({}))

export const turnTool = tool({
  name: 'turn_apply',
  about: 'Publishes JSON state of a run as one turn, all or nothing: it is staged, validated and promoted.',
  annotations: appendsOnce,
  isOptional: true,
  input: z.strictObject({
    run_id: apply.shape.run_id,
    turn_id: z.string().describe('turn-0001 and on.'),
    triplets: objects.optional().describe('{stem, body, links, manifest, base_digest} each.'),
    tombstones: objects.optional().describe('One for each delete_stem.'),
    delete_stem: z.array(z.string()).optional(),
    guard: apply.shape.guard,
    decision_id: apply.shape.decision_id,
    idempotency_key: apply.shape.idempotency_key,
  }),
  output: promoted.pick({ turn_id: true, outcome: true, promoted_stems: true, deleted_stems: true }),
  run: async ({ api }, input) => {
    // A client may remember the list of tools from before the configuration changed.
    if (!mcpSettingsIn((await api.config.show()).settings).turn_apply) {
      throw new LockstepError('FORBIDDEN', 'the configuration does not offer turn_apply', {
        hint: 'An operator sets "mcp": {"turn_apply": true} and loads the configuration.',
      })
    }
    const { deleted_stems, outcome, promoted_stems, turn_id } = await api.turns.apply(input as shapes.ApplyTurn)
    return { turn_id, outcome, promoted_stems, deleted_stems }
  },
})
