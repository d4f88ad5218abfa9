export const states = ['queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled'] as const;

/** What there are jobs of, as the filter offers it. */
export const kinds = [
  'instance.deploy', 'instance.start', 'instance.stop', 'instance.restart', 'instance.kill', 'instance.suspend', 'instance.unsuspend', 'instance.update',
  'instance.reinstall', 'instance.sync', 'instance.delete', 'instance.move', 'instance.evict', 'instance.convert_volume', 'instance.remove_stray', 'instance.adopt',
  'node.drain', 'node.update', 'nodes.update', 'file.delete', 'file.copy', 'file.archive', 'file.extract', 'file.pull',
] as const;
