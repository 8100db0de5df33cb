"""The asset graph as a Mermaid picture, for `defs/README.md`: `python -m mlguide_assets.console.graph`."""

import dagster as dg


def mermaid(definitions: dg.Definitions) -> str:
    """Assets grouped by stage, and an arrow for every dependency."""
    graph = definitions.resolve_asset_graph()
    nodes = sorted((graph.get(key) for key in graph.get_all_asset_keys()), key=lambda node: node.key.to_user_string())
    stages: dict[str, list[str]] = {stage: [] for stage in ("define", "prepare", "train", "deploy")}
    for node in nodes:
        stages.setdefault(node.group_name or "", []).append(node.key.to_user_string())
    lines = ["flowchart LR"]
    for stage, names in stages.items():
        lines += [f"  subgraph {stage}", *(f"    {name}" for name in names), "  end"]
    lines += [
        f"  {parent} --> {node.key.to_user_string()}"
        for node in nodes
        for parent in sorted(key.to_user_string() for key in node.parent_keys)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    from mlguide_assets.definitions import defs

    print(mermaid(defs()))
