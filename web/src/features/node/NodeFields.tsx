import { Collapse, NumberInput, SimpleGrid, Stack, TagsInput, TextInput, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import type { View } from '@/api';
import { t, type TextKey } from '@/text';
import type { Submit } from '@/ui';

export type NodeForm = View<'NodeBody'>;

export const nodeFields = [
  'name', 'address', 'port', 'memory', 'disk', 'public_host', 'bind_address', 'tags', 'memory_factor', 'disk_factor', 'cpu_factor', 'memory_reserve', 'disk_reserve', 'processor',
] as const;

interface Props {
  form: NodeForm;
  set: (change: Partial<NodeForm>) => void;
  submit: Submit;
  /** With everything in sight. */
  all?: boolean;
}

/** What a node is made of, for a new one and a changed one alike. */
export function NodeFields({ form, set, submit, all }: Props) {
  const [more, { toggle }] = useDisclosure(false);
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
        <TextInput label={t('node.name')} description={t('node.nameHint')} required value={form.name} error={submit.of('name')} data-autofocus={all ? undefined : true} onChange={(e) => set({ name: e.currentTarget.value })} />
        <TextInput label={t('node.address')} description={t('node.addressHint')} required value={form.address} error={submit.of('address')} onChange={(e) => set({ address: e.currentTarget.value })} />
        <Mebi field="memory" label="node.memoryFor" {...{ form, set, submit }} />
        <Mebi field="disk" label="node.diskFor" {...{ form, set, submit }} />
      </SimpleGrid>
      {!all && (
        <UnstyledButton onClick={toggle} aria-expanded={more} fz="sm" c="dimmed">
          {more ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />} {t('node.more')}
        </UnstyledButton>
      )}
      {all ? <More {...{ form, set, submit }} /> : <Collapse expanded={more}>{more && <More {...{ form, set, submit }} />}</Collapse>}
    </Stack>
  );
}

function More({ form, set, submit }: Omit<Props, 'all'>) {
  const text = (field: 'public_host' | 'bind_address' | 'processor', label: TextKey, description?: string) => (
    <TextInput label={t(label)} description={description} value={form[field] ?? ''} error={submit.of(field)} onChange={(e) => set({ [field]: e.currentTarget.value })} />
  );
  const factor = (field: 'memory_factor' | 'disk_factor' | 'cpu_factor', label: TextKey, description: string) => (
    <NumberInput label={t(label)} description={description} min={0} step={0.1} decimalScale={2} value={form[field] ?? ''} error={submit.of(field)} onChange={(value) => set({ [field]: Number(value) })} />
  );
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
      {text('public_host', 'node.publicHost', t('node.publicHostHint'))}
      {text('bind_address', 'node.bindAddress', '0.0.0.0')}
      <NumberInput label={t('node.port')} description="8443" min={1} max={65535} value={form.port ?? ''} error={submit.of('port')} onChange={(value) => set({ port: Number(value) })} />
      <TagsInput label={t('node.tags')} description={t('node.tagsHint')} value={form.tags ?? []} error={submit.of('tags')} onChange={(tags) => set({ tags })} />
      {factor('memory_factor', 'node.memoryFactor', t('node.factorHint'))}
      {factor('disk_factor', 'node.diskFactor', t('node.factorHint'))}
      <Mebi field="memory_reserve" label="node.memoryReserve" {...{ form, set, submit }} />
      <Mebi field="disk_reserve" label="node.diskReserve" {...{ form, set, submit }} />
      {factor('cpu_factor', 'node.cpuFactor', t('node.cpuFactorHint'))}
      {text('processor', 'node.processor', '\u00a0')}
    </SimpleGrid>
  );
}

function Mebi({ field, label, form, set, submit }: Omit<Props, 'all'> & { field: 'memory' | 'disk' | 'memory_reserve' | 'disk_reserve'; label: TextKey }) {
  return (
    <NumberInput
      label={t(label)}
      suffix=" MiB"
      required={field === 'memory' || field === 'disk'}
      min={0}
      step={1024}
      thousandSeparator=" "
      value={form[field] ?? ''}
      error={submit.of(field)}
      onChange={(value) => set({ [field]: Number(value) })}
    />
  );
}
