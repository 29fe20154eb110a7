"""Five dashboards from one model: defined as data, built from the history, drawn in many ways.

``definitions``  what each shows, as ``parts`` that name collections of ``workers.monitoring.figures``
``building``     a definition and a Reader in, a ``model.Dashboard`` of numbers out
``thresholds``   where a figure becomes bad: what the alert rules say
``words``        how numbers, windows and ages are written, the same everywhere
``text``, ``as_json``, ``markdown``, ``html`` (with ``charts``)   the model, drawn
``grafana``      the definitions, as dashboards of Grafana over what Prometheus scrapes

A number always comes with its window and its age, and where nothing was measured there is "no data".
"""
