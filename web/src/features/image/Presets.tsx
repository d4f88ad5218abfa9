import { Button, NumberInput, Select, SimpleGrid, Stack, TextInput } from '@mantine/core';
import { IconAdjustments, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, once, useCan, type View } from '@/api';
import { isSecret, VariableForm } from '@/parts';
import { cores, mebibytes, t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, Form, FormEnd, notifyDone, Section, useSubmit } from '@/ui';
import { references } from './definition';

type Preset = View<'PresetView'>;

/** Settings of an image under a name, that instances are made with. */
export function Presets({ image }: { image: View<'ImageView'> }) {
  const [open, setOpen] = useState<Preset | 'new'>();
  const [removing, setRemoving] = useState<Preset>();
  const client = useQueryClient();
  const may = useCan()('images.write');
  const found = useQuery({ queryKey: keys.images(image.id, 'presets'), queryFn: ({ signal }) => call('get', '/api/v1/images/{id}/presets', { path: { id: image.id }, signal }) });
  const fresh = () => client.invalidateQueries({ queryKey: keys.images(image.id, 'presets') });
  const add = may && (
    <Button variant="filled" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setOpen('new')}>
      {t('preset.add')}
    </Button>
  );
  return (
    <Section title={t('preset.title')} hint={t('preset.hint')} flush actions={(found.data ?? []).length > 0 && add}>
      <DataTable<Preset>
        label={t('preset.title')}
        rows={found.data ?? undefined}
        error={found.error}
        retry={() => void found.refetch()}
        rowKey={(row) => row.id}
        empty={
          <EmptyState icon={IconAdjustments} title={t('preset.empty')} action={add}>
            {t('preset.emptyHint')}
          </EmptyState>
        }
        columns={[
          { key: 'name', title: t('common.name'), cell: (row) => row.name },
          { key: 'limits', title: t('deploy.limits'), wide: true, cell: (row) => <span className="quiet">{limits(row)}</span> },
          { key: 'variables', title: t('image.variables'), end: true, wide: true, cell: (row) => Object.keys(row.variables ?? {}).length },
          {
            key: 'actions',
            title: '',
            end: true,
            cell: (row) =>
              may && (
                <>
                  <Button variant="subtle" aria-label={t('preset.editOf', { name: row.name })} onClick={() => setOpen(row)}>
                    {t('common.edit')}
                  </Button>
                  <Button variant="subtle" color="red" aria-label={t('preset.removeOf', { name: row.name })} onClick={() => setRemoving(row)}>
                    {t('common.delete')}
                  </Button>
                </>
              ),
          },
        ]}
      />
      <Dialog of={open} onClose={() => setOpen(undefined)} size="xl" title={(one) => (one === 'new' ? t('preset.add') : one.name)}>
        {(one) => (
          <PresetForm
            image={image}
            preset={one === 'new' ? undefined : one}
            close={() => {
              setOpen(undefined);
              void fresh();
            }}
          />
        )}
      </Dialog>
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('preset.removeTitle', { name: removing?.name ?? '' })}
        name={removing?.name ?? ''}
        confirm={t('common.delete')}
        run={async () => {
          if (removing) await call('delete', '/api/v1/images/{id}/presets/{preset}', { path: { id: image.id, preset: removing.id } });
          await fresh();
        }}
      >
        {t('preset.removeText')}
      </ConfirmByName>
    </Section>
  );
}

function limits(of: Preset): string {
  return [of.memory && mebibytes(of.memory), of.cpu && `${cores(of.cpu)} ${t('deploy.cores', { count: of.cpu })}`, of.disk && mebibytes(of.disk)].filter(Boolean).join(' · ');
}

interface Held {
  name: string;
  memory: number | '';
  cpu: number | '';
  disk: number | '';
  reference: string;
  startup: string;
  ports: string;
  variables: Record<string, string>;
}

function heldOf(preset: Preset | undefined): Held {
  return {
    name: preset?.name ?? '',
    memory: preset?.memory || '',
    cpu: preset?.cpu || '',
    disk: preset?.disk || '',
    reference: preset?.reference ?? '',
    startup: preset?.startup ?? '',
    ports: (preset?.ports ?? []).map((each) => each.container).join(', '),
    variables: preset?.variables ?? {},
  };
}

function settingsOf(held: Held): View<'PresetSettings'> {
  const ports = held.ports.split(/[\s,]+/).filter(Boolean).map((each) => ({ container: Number(each) }));
  const variables = Object.fromEntries(Object.entries(held.variables).filter(([, value]) => value !== ''));
  return {
    ...(held.memory === '' ? {} : { memory: held.memory }),
    ...(held.cpu === '' ? {} : { cpu: held.cpu }),
    ...(held.disk === '' ? {} : { disk: held.disk }),
    ...(held.reference ? { reference: held.reference } : {}),
    ...(held.startup ? { startup: held.startup } : {}),
    ...(ports.length > 0 ? { ports } : {}),
    ...(Object.keys(variables).length > 0 ? { variables } : {}),
  };
}

function PresetForm({ image, preset, close }: { image: View<'ImageView'>; preset: Preset | undefined; close: () => void }) {
  const [held, setHeld] = useState(() => heldOf(preset));
  const [create] = useState(once);
  const set = (change: Partial<Held>) => setHeld((before) => ({ ...before, ...change }));
  const variables = (image.variables ?? []).filter((each) => !isSecret(each)).map((each) => ({ ...each, required: false, rules: (each.rules ?? []).filter((rule) => !/^required$/i.test(rule)) }));
  const path = { id: image.id };
  const fields = ['name', 'memory', 'cpu', 'disk', 'reference', 'startup', 'ports'];
  const submit = useSubmit(
    async () => {
      const settings = settingsOf(held);
      if (preset) await call('patch', '/api/v1/images/{id}/presets/{preset}', { path: { ...path, preset: preset.id }, body: { name: held.name, settings } });
      else await create((key) => call('post', '/api/v1/images/{id}/presets', { path, body: { name: held.name, ...settings }, idempotencyKey: key }));
      notifyDone(t('common.saved'));
      close();
    },
    [...fields, ...fields.map((each) => `settings.${each}`), ...variables.map((each) => `variables.${each.name}`)],
  );
  const of = (field: string) => submit.of(field) ?? submit.of(`settings.${field}`);
  const number = (label: string, field: 'memory' | 'cpu' | 'disk', suffix: string, step: number) => (
    <NumberInput label={label} suffix={suffix} min={0} step={step} decimalScale={2} thousandSeparator=" " placeholder={t('preset.open')} value={held[field]} error={of(field)} onChange={(to) => set({ [field]: to === '' ? '' : Number(to) })} />
  );
  const commands = image.commands ?? [];
  return (
    <Form noValidate run={submit.run}>
      <Stack gap="md">
        <TextInput data-autofocus label={t('common.name')} required value={held.name} error={of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
        <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
          {number(t('common.memory'), 'memory', ' MiB', 256)}
          {number(t('common.cpu'), 'cpu', '', 0.5)}
          {number(t('common.disk'), 'disk', ' MiB', 1024)}
        </SimpleGrid>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
          <Select label={t('deploy.reference')} value={held.reference} error={of('reference')} onChange={(to) => set({ reference: to ?? '' })} data={[{ value: '', label: t('preset.open') }, ...references(image).map((each) => ({ value: each.reference, label: each.label || each.reference }))]} />
          {commands.length > 1 && <Select label={t('deploy.startup')} value={held.startup} error={of('startup')} onChange={(to) => set({ startup: to ?? '' })} data={[{ value: '', label: t('preset.open') }, ...commands.map((each) => each.name)]} />}
          <TextInput label={t('deploy.ports')} description={t('preset.portsHint')} inputWrapperOrder={['label', 'input', 'error', 'description']} value={held.ports} error={of('ports')} onChange={(e) => set({ ports: e.currentTarget.value })} />
        </SimpleGrid>
        {variables.length > 0 && (
          <VariableForm variables={variables} values={held.variables} start={{}} tried={false} staff of={(name) => of(`variables.${name}`)} onChange={(name, to) => set({ variables: { ...held.variables, [name]: to } })} />
        )}
        <FormEnd submit={submit} cancel={close} disabled={!held.name.trim()}>
          {t('common.save')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
