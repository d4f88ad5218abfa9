import { ActionIcon, Button, Checkbox, Group, Select, Stack, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { t, tAny } from '@/text';
import type { ImageVariable } from './definition';

interface Props {
  value: ImageVariable[];
  onChange: (to: ImageVariable[]) => void;
}

const types = ['text', 'number', 'boolean'];

/** What the form of an instance asks for, in its order. */
export function Variables({ value, onChange }: Props) {
  const change = (at: number, to: Partial<ImageVariable>) => onChange(value.map((each, n) => (n === at ? { ...each, ...to } : each)));
  return (
    <Stack gap="md">
      {value.map((each, at) => (
        <Group key={at} gap="xs" align="flex-end" role="group" aria-label={each.name || t('image.variable')}>
          <TextInput label={t('common.name')} required classNames={{ input: 'mono' }} value={each.name} onChange={(e) => change(at, { name: e.currentTarget.value })} style={{ flex: '1 1 9rem' }} />
          <Select label={t('image.variableType')} value={each.type || 'text'} data={[...new Set([...types, each.type || 'text'])].map((type) => ({ value: type, label: tAny(`image.type_${type}`, type) }))} onChange={(type) => change(at, { type: type ?? 'text' })} style={{ flex: '0 1 8rem' }} />
          <TextInput label={t('image.variableDefault')} value={each.default ?? ''} onChange={(e) => change(at, { default: e.currentTarget.value })} style={{ flex: '1 1 9rem' }} />
          <TextInput label={t('image.description')} value={each.description ?? ''} onChange={(e) => change(at, { description: e.currentTarget.value })} style={{ flex: '2 1 12rem' }} />
          <Checkbox label={t('image.variableRequired')} checked={!!each.required} onChange={(e) => change(at, { required: e.currentTarget.checked })} mb={8} />
          <ActionIcon mb={3} aria-label={t('image.variableRemove', { name: each.name })} onClick={() => onChange(value.filter((_, n) => n !== at))}>
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <div>
        <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={() => onChange([...value, { name: '', type: 'text' }])}>
          {t('image.variableAdd')}
        </Button>
      </div>
    </Stack>
  );
}
