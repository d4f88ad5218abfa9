/** What instances have together. */
export function usedOf(instances: readonly { memory: number; cpu: number; disk: number }[]) {
  return instances.reduce<{ instances: number; memory: number; cpu: number; disk: number }>(
    (sum, each) => ({ instances: sum.instances + 1, memory: sum.memory + each.memory, cpu: sum.cpu + each.cpu, disk: sum.disk + each.disk }),
    { instances: 0, memory: 0, cpu: 0, disk: 0 },
  );
}
