import { ActionIcon, Button, Group, NumberInput, Radio, Select, SimpleGrid, Stack } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import type { Submit } from '@/ui';
import { problemOf, referenceChoices, startValues, withPreset, type DeployForm, type PortRow } from './deploy';
import { VariableForm } from './VariableForm';
import css from './parts.module.css';

interface Props {
  form: DeployForm;
  set: (change: Partial<DeployForm>) => void;
  submit: Submit;
}

type Limits = Pick<DeployForm, 'memory' | 'cpu' | 'disk'>;

/** What an instance may have of its node. */
export function LimitFields({ form, set, submit }: { form: Limits; set: (change: Partial<Limits>) => void; submit: Submit }) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
      <NumberInput label={t('common.memory')} suffix=" MiB" required min={16} step={256} thousandSeparator=" " value={form.memory} error={submit.of('memory')} onChange={(value) => set({ memory: Number(value) })} />
      <NumberInput label={t('common.cpu')} suffix={` ${t('deploy.cores', { count: form.cpu })}`} required min={0.05} step={0.5} decimalScale={2} value={form.cpu} error={submit.of('cpu')} onChange={(value) => set({ cpu: Number(value) })} />
      <NumberInput label={t('common.disk')} suffix=" MiB" min={16} step={1024} thousandSeparator=" " value={form.disk} error={submit.of('disk')} onChange={(value) => set({ disk: Number(value) })} />
    </SimpleGrid>
  );
}

/** Which ports of the container are reached, and where. */
export function PortFields({ form, set, submit }: Props) {
  const change = (id: number, to: Partial<PortRow>) => set({ ports: form.ports.map((row) => (row.id === id ? { ...row, ...to } : row)) });
  const add = () => set({ ports: [...form.ports, { id: Math.max(0, ...form.ports.map((row) => row.id)) + 1, container: '', host: '' }] });
  return (
    <Stack gap="xs">
      {form.ports.map((row, at) => (
        <Group key={row.id} gap="xs" align="flex-end" wrap="nowrap">
          <NumberInput
            label={at === 0 ? t('deploy.portContainer') : undefined}
            aria-label={t('deploy.portContainer')}
            placeholder="25565"
            min={1}
            max={65535}
            value={row.container}
            error={problemOf(submit.of, `ports[${at}].container`, `ports.${at}.container`, ...(at === 0 ? ['ports'] : []))}
            onChange={(value) => change(row.id, { container: value === '' ? '' : Number(value) })}
            style={{ flex: 1 }}
          />
          <NumberInput
            label={at === 0 ? t('deploy.portHost') : undefined}
            aria-label={t('deploy.portHost')}
            placeholder={t('deploy.automatic')}
            min={1}
            max={65535}
            value={row.host}
            error={problemOf(submit.of, `ports[${at}].host`, `ports.${at}.host`)}
            onChange={(value) => change(row.id, { host: value === '' ? '' : Number(value) })}
            style={{ flex: 1 }}
          />
          <Radio name="primary" aria-label={t('deploy.portPrimary')} label={<span className={css.wideOnly}>{t('deploy.portPrimary')}</span>} checked={form.primary === row.id} onChange={() => set({ primary: row.id })} mb={7} />
          <ActionIcon mb={3} aria-label={t('deploy.portRemove', { port: String(row.container || at + 1) })} onClick={() => set({ ports: form.ports.filter((each) => each.id !== row.id) })}>
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <div>
        <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={add}>
          {t('deploy.portAdd')}
        </Button>
      </div>
    </Stack>
  );
}

/** An image's variables as a form; nothing when it has none. */
export function VariableFields({ image, form, set, submit }: Props & { image: View<'ImageView'> }) {
  const names = (name: string) => [`variables.${name}`, `variables[${name}]`, name];
  return (
    <VariableForm
      variables={image.variables ?? []}
      values={form.variables}
      start={startValues(image, form.preset)}
      tried={Object.keys(submit.fields).length > 0}
      staff
      of={(name) => problemOf(submit.of, ...names(name))}
      onChange={(name, to) => {
        names(name).forEach(submit.forget);
        set({ variables: { ...form.variables, [name]: to } });
      }}
    />
  );
}

/** Fills the form in from one of the image's presets; nothing where there are none. */
export function PresetField({ image, form, set }: Omit<Props, 'submit'> & { image: View<'ImageView'> }) {
  const found = useQuery({ queryKey: keys.images(image.id, 'presets'), queryFn: ({ signal }) => call('get', '/api/v1/images/{id}/presets', { path: { id: image.id }, signal }) });
  const presets = found.data ?? [];
  if (presets.length === 0) return null;
  return (
    <Select
      label={t('preset.choose')}
      value={form.preset?.id ?? ''}
      data={[{ value: '', label: t('preset.none') }, ...presets.map((each) => ({ value: each.id, label: each.name }))]}
      onChange={(id) => set(withPreset(form, image, presets.find((each) => each.id === id)))}
    />
  );
}

/** Which of the image's container images, and which of its start commands. */
export function ChoiceFields({ image, form, set, submit }: Props & { image: View<'ImageView'> }) {
  const commands = image.commands ?? [];
  return (
    <>
      <Select label={t('deploy.reference')} value={form.reference} data={referenceChoices(image)} allowDeselect={false} error={submit.of('reference') ?? submit.of('image_id')} onChange={(to) => set({ reference: to ?? '' })} />
      {commands.length > 1 && (
        <Select label={t('deploy.startup')} value={form.startup || (commands[0]?.name ?? '')} data={commands.map((each) => each.name)} allowDeselect={false} error={submit.of('startup')} onChange={(to) => set({ startup: to ?? '' })} />
      )}
    </>
  );
}
