import type { Actor } from './ids.ts'

/** The actor that a text names: `agent:ID`, `human:ID`, `system:ID`, or the bare id of an agent. */
export function actorNamed(text: string): Actor {
  const [, type, id] = /^(agent|human|system):(.+)$/s.exec(text) ?? []
  return id === undefined
    ? { actor_id: text, actor_type: 'agent' }
    : { actor_id: id, actor_type: type as Actor['actor_type'] }
}
